ensure_repository() { # PROJECT LOCATION ID
  local -a where=("$3" --location="$2" --project="$1")
  if ! lookup artifacts repositories describe "${where[@]}" --format='value(format,dockerConfig.immutableTags)'; then
    change "create repository $3" gcloud artifacts repositories create "${where[@]}" --repository-format=docker
  elif [ "${found%%$'\t'*}" != DOCKER ]; then
    differs "repository $3 has the format ${found%%$'\t'*}" "images need a repository of their own"
  elif [ "${found##*$'\t'}" = True ]; then
    # Every signer rewrites the tag that holds the signatures.
    change "let tags of repository $3 move" gcloud artifacts repositories update "${where[@]}" --no-immutable-tags
  else
    same "repository $3"
  fi
}

remove_repository() { # PROJECT LOCATION ID
  remove "repository $3 with its images" artifacts repositories -- "$3" --location="$2" --project="$1"
}
