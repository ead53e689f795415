ensure_key_ring() { # PROJECT LOCATION RING
  if lookup kms keyrings describe "$3" --location="$2" --project="$1" --format='value(name)'; then
    same "key ring $3"
  else
    change "create key ring $3" gcloud kms keyrings create "$3" --location="$2" --project="$1"
  fi
}

remove_key_ring() { # PROJECT LOCATION RING
  same "key ring $3 stays: Cloud KMS deletes none"
}

ensure_key() { # PROJECT LOCATION RING KEY PURPOSE ALGORITHM PROTECTION
  local -a where=("$4" --keyring="$3" --location="$2" --project="$1")
  local want
  case $5 in
    encryption) want=$'ENCRYPT_DECRYPT\tGOOGLE_SYMMETRIC_ENCRYPTION' ;;
    *)
      want=${6^^}
      want=$'ASYMMETRIC_SIGN\t'${want//-/_}
      ;;
  esac
  if ! lookup kms keys describe "${where[@]}" --format='value(purpose,versionTemplate.algorithm,versionTemplate.protectionLevel)'; then
    change "create key $4" gcloud kms keys create "${where[@]}" --purpose="$5" --default-algorithm="$6" --protection-level="$7"
  elif [ "$found" = "$want"$'\t'"${7^^}" ]; then
    same "key $4"
  else
    differs "key $4 is ${found//$'\t'/ }, not ${want//$'\t'/ } ${7^^}" "a key's purpose cannot be changed: agree on another key"
  fi
}

remove_key() { # PROJECT LOCATION RING KEY
  local -a where=(--key="$4" --keyring="$3" --location="$2" --project="$1")
  local version
  if ! lookup kms keys versions list "${where[@]}" --filter='state=(ENABLED,DISABLED)' --format='value(name.basename())'; then
    same "no key $4"
  elif [ -z "$found" ]; then
    same "key $4 has no versions left"
  elif may_destroy_keys; then
    for version in $found; do
      change "destroy version $version of key $4" gcloud kms keys versions destroy "$version" "${where[@]}"
    done
  else
    same "key $4 stays: --destroy-keys destroys it and what it encrypted"
  fi
}
