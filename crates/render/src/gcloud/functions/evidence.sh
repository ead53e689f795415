# ensure_used PROJECT DIGEST FILTER: an image was given a key, says the audit log; it is written some minutes late.
ensure_used() {
  lookup logging read "$3" --project="$1" --freshness=7d --limit=1 --format='value(timestamp)' || fail 3 "no log in $1"
  if [ -n "$found" ]; then
    same "$2 decrypted in $1: ${found%%$'\n'*}"
  else
    differs "$2 decrypted nothing in $1 for a week" \
      "nothing was removed: is it deployed? Publish a message, wait some minutes, and run this again"
  fi
}

# ensure_no_machine PROJECT IMAGE: stopped ones count, since they can be started.
ensure_no_machine() {
  local name zone key value clean=yes
  lookup compute instances list --project="$1" --flatten='metadata.items[]' \
    --format='value(name,zone.basename(),metadata.items.key,metadata.items.value)' || fail 3 "no machines in $1"
  while IFS=$'\t' read -r name zone key value; do
    [ "$key=$value" = "tee-image-reference=$2" ] || continue
    clean=no
    differs "machine $name in $zone still has the image $2" \
      "a group replaces its machines one by one: wait, and see --check. Delete any other: gcloud compute instances delete $name"
  done <<<"$found"
  [ "$clean" = no ] || same "no machine with the image $2"
}
