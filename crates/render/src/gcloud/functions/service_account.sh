ensure_service_account() { # PROJECT ID
  local account=$2@${1}.iam.gserviceaccount.com
  if ! lookup iam service-accounts describe "$account" --project="$1" --format='value(disabled)'; then
    change "create service account $account" gcloud iam service-accounts create "$2" --project="$1"
  elif [ "$found" = True ]; then
    change "enable service account $account" gcloud iam service-accounts enable "$account" --project="$1"
  else
    same "service account $account"
  fi
}

remove_service_account() { # PROJECT ID
  local account=$2@${1}.iam.gserviceaccount.com
  remove "service account $account" iam service-accounts -- "$account" --project="$1"
}
