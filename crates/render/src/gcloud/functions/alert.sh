ensure_alert() { # PROJECT TITLE FILTER CHANNELS POLICY
  local name
  lookup alpha monitoring policies list --project="$1" --filter="displayName=\"$2\"" \
    --format='value(name,enabled,conditions[0].conditionMatchedLog.filter,notificationChannels)' || found=
  name=${found%%$'\t'*}
  if [ -z "$found" ]; then
    change "create alert: $2" gcloud alpha monitoring policies create --project="$1" --policy="$5"
  elif [ "$found" = "$name"$'\tTrue\t'"$3"$'\t'"$4" ]; then
    same "alert: $2"
  else
    change "correct alert: $2" gcloud alpha monitoring policies update "$name" --project="$1" --policy="$5"
  fi
}

remove_alert() { # PROJECT TITLE
  lookup alpha monitoring policies list --project="$1" --filter="displayName=\"$2\"" --format='value(name)' || found=
  if [ -n "$found" ]; then
    change "remove alert: $2" gcloud alpha monitoring policies delete "$found" --project="$1" --quiet
  else
    same "no alert: $2"
  fi
}
