# read_policy COMMAND… -- RESOURCE…: puts "role TAB member TAB condition" lines into $found; nobody has a role on what is not there.
read_policy() {
  local -a words=()
  while [ "$1" != -- ]; do
    words+=("$1")
    shift
  done
  shift
  lookup "${words[@]}" get-iam-policy "$@" --flatten='bindings[].members' \
    --format='value(bindings.role,bindings.members,bindings.condition.expression)' || return 0
}

# ensure_members shared|exclusive ROLE COMMAND RESOURCE… -- MEMBER…: all of these hold the role, without a condition; if exclusive,
# nobody else does, with or without one.
ensure_members() {
  local how=$1 role=$2 policy member other
  local -a words=() resource=() condition=(--condition=None) all=(--all)
  read -ra words <<<"$3"
  shift 3
  while [ "$1" != -- ]; do
    resource+=("$1")
    shift
  done
  shift
  # Pub/Sub's policies know no conditions.
  [ "${words[0]}" != pubsub ] || condition=() all=()
  read_policy "${words[@]}" -- "${resource[@]}"
  policy=$found
  for member in "$@"; do
    if grep -Fxq -e "$role"$'\t'"$member" -e "$role"$'\t'"$member"$'\t' <<<"$policy"; then
      same "$role on ${resource[0]}: $member"
    else
      change "grant $role on ${resource[0]} to $member" gcloud "${words[@]}" add-iam-policy-binding "${resource[@]}" \
        --role="$role" --member="$member" "${condition[@]}"
    fi
  done
  [ "$how" = exclusive ] || return 0
  # Whoever holds it twice, with a condition and without, loses both at once.
  while IFS= read -r other; do
    [ -n "$other" ] || continue
    change "take $role on ${resource[0]} from $other" gcloud "${words[@]}" remove-iam-policy-binding "${resource[@]}" \
      --role="$role" --member="$other" "${all[@]}"
  done < <(others "$role" "$policy" "$@")
}

# others ROLE POLICY MEMBER…: who else holds it, or one of these with a condition.
others() {
  local role=$1 policy=$2 held line member
  shift 2
  while IFS=$'\t' read -r held line; do
    [ "$held" = "$role" ] || continue
    for member in "$@"; do
      if [ "$line" = "$member" ] || [ "$line" = "$member"$'\t' ]; then continue 2; fi
    done
    printf '%s\n' "${line%%$'\t'*}"
  done <<<"$policy" | sort -u
}

remove_members() { # as ensure_members
  local role=$2 member
  local -a words=() resource=() all=(--all)
  read -ra words <<<"$3"
  shift 3
  while [ "$1" != -- ]; do
    resource+=("$1")
    shift
  done
  shift
  [ "${words[0]}" != pubsub ] || all=()
  read_policy "${words[@]}" -- "${resource[@]}"
  local policy=$found
  for member in "$@"; do
    # With a condition or without.
    if grep -Fq -- "$role"$'\t'"$member"$'\t' <<<"$policy" || grep -Fxq -- "$role"$'\t'"$member" <<<"$policy"; then
      change "take $role on ${resource[0]} from $member" gcloud "${words[@]}" remove-iam-policy-binding "${resource[@]}" \
        --role="$role" --member="$member" "${all[@]}"
    fi
  done
}
