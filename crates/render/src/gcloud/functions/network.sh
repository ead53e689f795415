ensure_network() { # PROJECT NAME
  if ! lookup compute networks describe "$2" --project="$1" --format='value(autoCreateSubnetworks)'; then
    change "create network $2" gcloud compute networks create "$2" --project="$1" --subnet-mode=custom
  elif [ "$found" = True ]; then
    differs "network $2 makes subnets of its own" "give another name (operator.network)"
  else
    same "network $2"
  fi
}

remove_network() { # PROJECT NAME
  remove "network $2" compute networks -- "$2" --project="$1"
}

ensure_subnet() { # PROJECT REGION NAME NETWORK RANGE
  local -a where=("$3" --region="$2" --project="$1")
  if ! lookup compute networks subnets describe "${where[@]}" --format='value(network.basename(),ipCidrRange,privateIpGoogleAccess)'; then
    change "create subnet $3" gcloud compute networks subnets create "${where[@]}" --network="$4" --range="$5" \
      --enable-private-ip-google-access
  elif [ "$found" = "$4"$'\t'"$5"$'\tTrue' ]; then
    same "subnet $3"
  elif [ "$found" = "$4"$'\t'"$5"$'\tFalse' ]; then
    change "let subnet $3 reach Google's APIs" gcloud compute networks subnets update "${where[@]}" \
      --enable-private-ip-google-access
  else
    differs "subnet $3 is ${found//$'\t'/ }, not $4 $5" "a subnet's range cannot be changed: give another network"
  fi
}

remove_subnet() { # PROJECT REGION NAME
  remove "subnet $3" compute networks subnets -- "$3" --region="$2" --project="$1"
}

ensure_address() { # PROJECT REGION NAME
  if lookup compute addresses describe "$3" --region="$2" --project="$1" --format='value(address)'; then
    same "address $3: $found"
  else
    change "reserve address $3" gcloud compute addresses create "$3" --region="$2" --project="$1"
  fi
}

remove_address() { # PROJECT REGION NAME
  remove "address $3" compute addresses -- "$3" --region="$2" --project="$1"
}

ensure_router() { # PROJECT REGION NAME NETWORK
  if ! lookup compute routers describe "$3" --region="$2" --project="$1" --format='value(network.basename())'; then
    change "create router $3" gcloud compute routers create "$3" --region="$2" --project="$1" --network="$4"
  elif [ "$found" = "$4" ]; then
    same "router $3"
  else
    differs "router $3 is in network $found, not $4" "give another name (operator.network)"
  fi
}

remove_router() { # PROJECT REGION NAME
  remove "router $3" compute routers -- "$3" --region="$2" --project="$1"
}

ensure_nat() { # PROJECT REGION NAME ROUTER ADDRESS
  local -a where=("$3" --router="$4" --region="$2" --project="$1")
  local -a options=(--nat-external-ip-pool="$5" --nat-all-subnet-ip-ranges)
  if ! lookup compute routers nats describe "${where[@]}" --format='value(natIps[0].basename(),sourceSubnetworkIpRangesToNat)'; then
    change "create NAT $3" gcloud compute routers nats create "${where[@]}" "${options[@]}"
  elif [ "$found" = "$5"$'\tALL_SUBNETWORKS_ALL_IP_RANGES' ]; then
    same "NAT $3"
  else
    change "correct NAT $3" gcloud compute routers nats update "${where[@]}" "${options[@]}"
  fi
}

remove_nat() { # PROJECT REGION NAME ROUTER
  remove "NAT $3" compute routers nats -- "$3" --router="$4" --region="$2" --project="$1"
}
