# shellcheck shell=bash disable=SC2034 # most variables are used by those who read this: docs/tutorial.md
# Everything in which the tutorial on Google Cloud differs from the same tutorial against the simulator; CLOUD chooses.

case ${CLOUD:?set CLOUD to google or simulator} in
  google)
    : "${ID:?set ID to at most nine letters and digits of your own: ids of projects are unique in the world}"
    for party in BUILDER OPERATOR COLLABORATOR_1 COLLABORATOR_2; do
      # One person plays everyone, with one account. Four people set these variables to their own.
      declare "${party}_ACCOUNT=$(gcloud config get core/account)"
    done
    REGISTRY=us-central1-docker.pkg.dev PAUSE=4
    ENVIRONMENT='kind = "google"'

    # audit_log PROJECT: what its services allowed and refused.
    audit_log() {
      gcloud logging read 'protoPayload.serviceName=("sts.googleapis.com" OR "cloudkms.googleapis.com")' \
        --project="$1" --freshness=1d --format=json
    }
    ;;
  simulator)
    ID=${ID:-demo}
    BUILDER_ACCOUNT=barbara@builder.example OPERATOR_ACCOUNT=oscar@operator.example
    COLLABORATOR_1_ACCOUNT=alice@collaborator-1.example COLLABORATOR_2_ACCOUNT=bob@collaborator-2.example
    REGISTRY=us-central1-docker.pkg.dev.simulator.localhost PAUSE=0.3

    simulator up --gcloud --env-file simulator.env >simulator.json &
    until [ -e simulator.env ]; do
      kill -0 $! || return 3
      sleep 0.1
    done
    # Where gcloud and csign find the simulator. Its proxy stays out: cargo and git reach the real network.
    eval "$(grep -E '^export (PATH|CSIGN_SIMULATOR|SIMULATOR_CONTROL)=' simulator.env)"
    ENVIRONMENT="kind = \"simulated\"
issuer = \"http://attestation.simulator.localhost\"
issuer_keys = [\"$(sed -n '/"issuer_key_thumbprints"/,/\]/s/^ *"\([A-Za-z0-9_-]*\)",\{0,1\}$/\1/p' simulator.json)\"]"

    # A contract of the simulator is refused unless someone accepts it; and its gcloud has no audit logs in Google's form.
    csign() {
      case $1 in
        rotate) command csign "$@" --allow-simulated --without-proof ;;
        approve | build | collect | preflight | publish | rebuild | render | request | sign | verify)
          command csign "$@" --allow-simulated
          ;;
        *) command csign "$@" ;;
      esac
    }

    # Whose log it is makes no difference: the simulator has one.
    audit_log() {
      simulator audit --service sts --service kms --output json
    }
    ;;
  *)
    echo "CLOUD is $CLOUD, not google or simulator" >&2
    return 2
    ;;
esac

BUILDER=csign-builder-$ID OPERATOR=csign-operator-$ID
COLLABORATOR_1=csign-collaborator-1-$ID COLLABORATOR_2=csign-collaborator-2-$ID
REGION=us-central1 ZONE=us-central1-a

# be PARTY: from here on this terminal is that party's machine, with its files, its project and its rights.
be() {
  local variable
  variable=$(tr 'a-z-' 'A-Z_' <<<"$1")
  mkdir -p "$ROOM/$1" && cd "$ROOM/$1" || return
  local account=${variable}_ACCOUNT
  export CLOUDSDK_CORE_PROJECT=${!variable} CLOUDSDK_CORE_ACCOUNT=${!account}
  GOOGLE_OAUTH_ACCESS_TOKEN=$(gcloud auth print-access-token) || return
  export GOOGLE_OAUTH_ACCESS_TOKEN
}

# machine_log NAME: what launcher and workload printed.
machine_log() {
  local id
  id=$(gcloud compute instances describe "$1" --zone="$ZONE" --project="$OPERATOR" --format='value(id)') || return
  gcloud logging read "logName:\"confidential-space-launcher\" AND resource.labels.instance_id=\"$id\"" \
    --project="$OPERATOR" --order=asc --format='value(jsonPayload.MESSAGE)'
}

# wait_for NAME TEXT: until the machine's log has it; shows these lines.
wait_for() {
  local log
  for _ in {1..150}; do
    if log=$(machine_log "$1") && grep -E -- "$2" <<<"$log"; then return 0; fi
    sleep "$PAUSE"
  done
  printf '%s\n%s never said: %s\n' "$log" "$1" "$2" >&2
  return 1
}
