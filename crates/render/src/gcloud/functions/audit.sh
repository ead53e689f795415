# Audit configuration is a part of the project's policy that has no command of its own. The policy is read, given these
# entries in place of what it says about the same services, and written; its etag refuses it if someone else was faster.
ensure_audit_logs() { # PROJECT SERVICE…
  local project=$1 service kind policy
  shift
  local -a missing=()
  lookup projects get-iam-policy "$project" --flatten='auditConfigs[].auditLogConfigs' \
    --format='value(auditConfigs.service,auditConfigs.auditLogConfigs.logType,auditConfigs.auditLogConfigs.exemptedMembers)' || fail 3 "there is no project $project"
  for service in "$@"; do
    for kind in ADMIN_READ DATA_READ DATA_WRITE; do
      # Nobody may be exempt.
      grep -Fxq -e "$service"$'\t'"$kind" -e "$service"$'\t'"$kind"$'\t' <<<"$found" || missing+=("$service")
    done
  done
  if [ ${#missing[@]} -eq 0 ]; then
    same "audit logs of $*"
    return
  fi
  policy=$(mktemp)
  lookup projects get-iam-policy "$project" --format=yaml || fail 3 "there is no project $project"
  {
    printf 'auditConfigs:\n'
    for service in "$@"; do
      printf -- '- auditLogConfigs:\n  - logType: ADMIN_READ\n  - logType: DATA_READ\n  - logType: DATA_WRITE\n  service: %s\n' "$service"
    done
    awk -v ours=" $* " '
      function flush() { if (entry != "" && index(ours, " " service " ") == 0) printf "%s", entry; entry = ""; service = "" }
      /^auditConfigs:/ { inside = 1; next }
      inside && /^- / { flush() }
      /^[^- ]/ { if (inside) flush(); inside = 0 }
      inside { entry = entry $0 "\n"; if ($0 ~ /^[- ] service: /) service = $NF; next }
      { rest = rest $0 "\n" }
      END { flush(); printf "%s", rest }' <<<"$found"
  } >"$policy"
  change "log every use of $*" gcloud projects set-iam-policy "$project" "$policy"
  rm -f "$policy"
}

remove_audit_logs() { # PROJECT
  same "audit logs of $1 stay: they say what happened"
}
