ensure_firewall() { # PROJECT NAME NETWORK TAG PORT SOURCE…
  local project=$1 name=$2 network=$3 tag=$4 port=$5 sources
  shift 5
  sources=$(joined , "$@")
  if ! lookup compute firewall-rules describe "$name" --project="$project" --format='value(network.basename(),direction,allowed[0].IPProtocol,allowed[0].ports,targetTags,sourceRanges,disabled)'; then
    change "create firewall rule $name" gcloud compute firewall-rules create "$name" --project="$project" --network="$network" \
      --direction=INGRESS --allow="tcp:$port" --target-tags="$tag" --source-ranges="$sources"
  elif [ "$found" = "$network"$'\tINGRESS\ttcp\t'"$port"$'\t'"$tag"$'\t'"${sources//,/;}"$'\tFalse' ]; then
    same "firewall rule $name"
  else
    change "correct firewall rule $name" gcloud compute firewall-rules update "$name" --project="$project" \
      --allow="tcp:$port" --target-tags="$tag" --source-ranges="$sources" --no-disabled
  fi
}

remove_firewall() { # PROJECT NAME
  remove "firewall rule $2" compute firewall-rules -- "$2" --project="$1"
}
