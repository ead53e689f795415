ensure_pool() { # PROJECT POOL
  local -a where=("$2" --location=global --project="$1")
  if ! lookup iam workload-identity-pools describe "${where[@]}" --format='value(state,disabled)'; then
    change "create identity pool $2" gcloud iam workload-identity-pools create "${where[@]}"
  elif [ "${found%%$'\t'*}" = DELETED ]; then
    change "restore identity pool $2" gcloud iam workload-identity-pools undelete "${where[@]}"
  elif [ "${found##*$'\t'}" = True ]; then
    change "enable identity pool $2" gcloud iam workload-identity-pools update "${where[@]}" --no-disabled
  else
    same "identity pool $2"
  fi
}

# What was deleted stays visible for 30 days.
remove_pool() { # PROJECT POOL
  local -a where=("$2" --location=global --project="$1")
  if lookup iam workload-identity-pools describe "${where[@]}" --format='value(state)' && [ "$found" != DELETED ]; then
    change "remove identity pool $2" gcloud iam workload-identity-pools delete "${where[@]}" --quiet
  else
    same "no identity pool $2"
  fi
}

ensure_provider() { # PROJECT POOL PROVIDER ISSUER AUDIENCE CONDITION ATTRIBUTE=EXPRESSION…
  local project=$1 pool=$2 provider=$3 issuer=$4 audience=$5 condition=$6 is
  shift 6
  local -a where=("$provider" --workload-identity-pool="$pool" --location=global --project="$project")
  # The mapping is written with ~ between its parts, since expressions have commas.
  local -a rules=(--issuer-uri="$issuer" --allowed-audiences="$audience"
    --attribute-mapping="^~^$(joined '~' "$@")" --attribute-condition="$condition")
  if ! lookup iam workload-identity-pools providers describe "${where[@]}" --format='value(state)'; then
    change "create provider $provider" gcloud iam workload-identity-pools providers create-oidc "${where[@]}" "${rules[@]}"
    return
  fi
  if [ "$found" = DELETED ]; then
    change "restore provider $provider" gcloud iam workload-identity-pools providers undelete "${where[@]}"
  fi
  lookup iam workload-identity-pools providers describe "${where[@]}" --format='value(disabled,oidc.issuerUri,oidc.allowedAudiences,attributeCondition)' || fail 3 "provider $provider vanished"
  is=$found
  lookup iam workload-identity-pools providers describe "${where[@]}" --format='value(attributeMapping)' || fail 3 "provider $provider vanished"
  if [ "${is#False}" = $'\t'"$issuer"$'\t'"$audience"$'\t'"$condition" ] && [ "$found" = "$(joined ';' "$@")" ]; then
    same "provider $provider"
  else
    change "correct provider $provider" gcloud iam workload-identity-pools providers update-oidc "${where[@]}" "${rules[@]}" --no-disabled
  fi
}

remove_provider() { # PROJECT POOL PROVIDER
  local -a where=("$3" --workload-identity-pool="$2" --location=global --project="$1")
  if lookup iam workload-identity-pools providers describe "${where[@]}" --format='value(state)' && [ "$found" != DELETED ]; then
    change "remove provider $3" gcloud iam workload-identity-pools providers delete "${where[@]}" --quiet
  else
    same "no provider $3"
  fi
}
