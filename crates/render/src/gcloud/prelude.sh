set -euo pipefail
export LC_ALL=C CLOUDSDK_CORE_DISABLE_PROMPTS=1

usage() {
  printf 'usage: %s [--dry-run | --check | --teardown --confirm=%s [--destroy-keys]] [--replace]\n' "$0" "$own_project"
  printf '  (nothing)      makes what is missing and corrects what differs\n'
  printf '  --dry-run      reads, and prints each command that would change something\n'
  printf '  --check        reads, and says what is missing or differs; exit status 1 if anything does\n'
  printf '  --replace      lets a running machine be replaced where it differs\n'
  printf '  --teardown     removes all of it; --destroy-keys: the versions of keys too, and with them the data\n'
  printf 'exit status: 0 done, 1 something differs, 2 called wrongly, 3 something could not be read or made\n'
}

mode=apply replace=no destroy_keys=no confirm=
for argument in "$@"; do
  case $argument in
    --dry-run) mode=dry-run ;;
    --check) mode=check ;;
    --teardown) mode=teardown ;;
    --replace) replace=yes ;;
    --destroy-keys) destroy_keys=yes ;;
    --confirm=*) confirm=${argument#--confirm=} ;;
    --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
done

changes=0
found=

fail() {
  printf 'error: %s\n' "$2" >&2
  exit "$1"
}

same() {
  printf 'ok      %s\n' "$1"
}

# change WHAT COMMAND…: the only place where something is changed.
change() {
  local what=$1
  shift
  changes=$((changes + 1))
  case $mode in
    check) printf 'differs %s\n' "$what" ;;
    dry-run)
      printf 'would   %s\n       ' "$what"
      printf ' %q' "$@"
      printf '\n'
      ;;
    *)
      printf 'change  %s\n' "$what"
      "$@" >/dev/null || fail 3 "that did not work: $what"
      ;;
  esac
}

# differs WHAT HINT: what no command corrects.
differs() {
  changes=$((changes + 1))
  printf 'differs %s\n' "$1"
  [ "$mode" = check ] || [ "$mode" = dry-run ] || fail 1 "$1; $2"
}

# lookup COMMAND…: puts what gcloud prints into $found; false if there is no such thing. What cannot be read, for instance
# for lack of a right, is not taken for absent.
lookup() {
  local errors status=0
  errors=$(mktemp)
  found=$(gcloud "$@" 2>"$errors") || status=$?
  if [ "$status" -eq 0 ]; then
    rm -f "$errors"
    return 0
  fi
  found=
  if [ "$status" -eq 1 ] &&
    grep -Eq 'NOT_FOUND|was not found|not found: 404|HTTPError 404|status=\[404\]|code=404|SERVICE_DISABLED' "$errors"; then
    rm -f "$errors"
    return 1
  fi
  cat "$errors" >&2
  rm -f "$errors"
  fail 3 "could not read: gcloud $*"
}

# A running machine goes only if someone said so.
may_replace() {
  [ "$replace" = yes ] || [ "$mode" = check ]
}

# So do keys, and with them whatever they encrypted.
may_destroy_keys() {
  [ "$destroy_keys" = yes ]
}

# joined SEPARATOR TEXT…
joined() {
  local separator=$1 all=$2
  shift 2
  local text
  for text in "$@"; do all+=$separator$text; done
  printf '%s' "$all"
}

# remove WHAT LOOKUP-AND-DELETE…: WORDS of the command without its verb, then `--`, then the arguments.
remove() {
  local what=$1
  shift
  local -a words=()
  while [ "$1" != -- ]; do
    words+=("$1")
    shift
  done
  shift
  if lookup "${words[@]}" describe "$@" --format='value(name)'; then
    change "remove $what" gcloud "${words[@]}" delete "$@" --quiet
  else
    same "no $what"
  fi
}
