# machine_flags PROJECT ZONE NAME TYPE TECHNOLOGY ACCOUNT REGION SUBNET TAG IMAGE-PROJECT IMAGE-FAMILY KEY=VALUE…: fills $machine.
machine_flags() {
  machine=(--project="$1" --machine-type="$4" --confidential-compute-type="$5" --shielded-secure-boot
    --maintenance-policy=TERMINATE --scopes=cloud-platform --service-account="$6" --subnet="$8" --no-address --tags="$9"
    --image-project="${10}" --image-family="${11}" --metadata="^~^$(joined '~' "${@:12}")")
}

ensure_instance() { # as machine_flags
  local -a machine where=("$3" --zone="$2" --project="$1")
  local is
  machine_flags "$@"
  if ! lookup compute instances describe "${where[@]}" --format='value(machineType.basename(),confidentialInstanceConfig.confidentialInstanceType,shieldedInstanceConfig.enableSecureBoot,serviceAccounts[0].email,networkInterfaces[0].subnetwork.basename(),networkInterfaces[0].accessConfigs[0].name,tags.items)'; then
    change "create machine $3" gcloud compute instances create "$3" --zone="$2" "${machine[@]}"
    return
  fi
  is=$found
  lookup compute instances describe "${where[@]}" --flatten='metadata.items[]' --format='value(metadata.items.key,metadata.items.value)' || fail 3 "machine $3 vanished"
  if [ "$is" = "$4"$'\t'"$5"$'\tTrue\t'"$6"$'\t'"$8"$'\t\t'"$9" ] &&
    [ "$(grep '^tee-' <<<"$found" | sort)" = "$(printf '%s\n' "${@:12}" | sed 's/=/\t/' | sort)" ]; then
    same "machine $3"
  elif may_replace; then
    change "remove machine $3, which differs" gcloud compute instances delete "${where[@]}" --quiet
    change "create machine $3" gcloud compute instances create "$3" --zone="$2" "${machine[@]}"
  else
    differs "machine $3 is not the one that the contract asks for" "--replace removes it and makes another one"
  fi
}

remove_instance() { # PROJECT ZONE NAME
  remove "machine $3" compute instances -- "$3" --zone="$2" --project="$1"
}

ensure_template() { # as machine_flags
  local -a machine
  machine_flags "$@"
  if lookup compute instance-templates describe "$3" --project="$1" --format='value(name)'; then
    same "template $3"
  else
    change "create template $3" gcloud compute instance-templates create "$3" --region="$7" "${machine[@]}"
  fi
}

remove_template() { # PROJECT ZONE NAME
  remove "template $3" compute instance-templates -- "$3" --project="$1"
}

ensure_group() { # PROJECT ZONE NAME TEMPLATE SIZE
  local -a where=("$3" --zone="$2" --project="$1")
  if ! lookup compute instance-groups managed describe "${where[@]}" --format='value(instanceTemplate.basename(),targetSize)'; then
    change "create group $3" gcloud compute instance-groups managed create "${where[@]}" --template="$4" --size="$5"
    return
  fi
  local is=$found
  if [ "${is%%$'\t'*}" != "$4" ]; then
    if may_replace; then
      change "replace the machines of group $3" gcloud compute instance-groups managed rolling-action start-update "${where[@]}" \
        --version="template=$4" --max-unavailable=1 --replacement-method=substitute
    else
      differs "group $3 runs ${is%%$'\t'*}, not $4" "--replace replaces its machines one by one"
    fi
  fi
  if [ "${is##*$'\t'}" != "$5" ]; then
    change "resize group $3" gcloud compute instance-groups managed resize "${where[@]}" --size="$5"
  elif [ "$is" = "$4"$'\t'"$5" ]; then
    same "group $3"
  fi
}

remove_group() { # PROJECT ZONE NAME
  remove "group $3 with its machines" compute instance-groups managed -- "$3" --zone="$2" --project="$1"
}
