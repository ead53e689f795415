ensure_services() { # PROJECT SERVICE…
  local project=$1 service
  shift
  local -a missing=()
  lookup services list --enabled --project="$project" --format='value(config.name)' || fail 3 "there is no project $project"
  for service in "$@"; do
    grep -Fxq -- "$service" <<<"$found" || missing+=("$service")
  done
  if [ ${#missing[@]} -eq 0 ]; then
    same "services of $project"
  else
    change "enable ${missing[*]}" gcloud services enable "${missing[@]}" --project="$project"
  fi
}

remove_services() { # PROJECT
  same "services of $1 stay enabled: others may use them"
}
