ensure_trigger() { # PROJECT REGION NAME REPOSITORY BRANCH CONFIG ACCOUNT
  local account=projects/$1/serviceAccounts/$7
  local -a config=(--build-config="$6" --service-account="$account") source=(--repo="$4" --repo-type=GITHUB --branch="$5")
  case $4 in projects/*) source=(--repository="$4" --branch="$5") ;; esac
  if ! lookup builds triggers describe "$3" --region="$2" --project="$1" --format='value(gitFileSource.path,serviceAccount,sourceToBuild.ref,sourceToBuild.repository,sourceToBuild.uri)'; then
    change "create trigger $3" gcloud builds triggers create manual --name="$3" --region="$2" --project="$1" "${source[@]}" "${config[@]}"
  elif [ "$(tr -d '\t' <<<"$found")" = "$6${account}refs/heads/$5$4" ]; then
    same "trigger $3"
  else
    # gcloud's update of such a trigger does not take all of this.
    change "remove trigger $3, which differs" gcloud builds triggers delete "$3" --region="$2" --project="$1" --quiet
    change "create trigger $3" gcloud builds triggers create manual --name="$3" --region="$2" --project="$1" "${source[@]}" "${config[@]}"
  fi
}

remove_trigger() { # PROJECT REGION NAME
  remove "trigger $3" builds triggers -- "$3" --region="$2" --project="$1"
}
