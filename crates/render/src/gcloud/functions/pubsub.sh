ensure_topic() { # PROJECT TOPIC
  if lookup pubsub topics describe "$2" --project="$1" --format='value(name)'; then
    same "topic $2"
  else
    change "create topic $2" gcloud pubsub topics create "$2" --project="$1"
  fi
}

remove_topic() { # PROJECT TOPIC
  remove "topic $2" pubsub topics -- "$2" --project="$1"
}

ensure_subscription() { # PROJECT SUBSCRIPTION TOPIC SECONDS [DEAD-LETTERS ATTEMPTS]
  local -a dead=()
  [ $# -lt 6 ] || dead=(--dead-letter-topic="$5" --max-delivery-attempts="$6")
  if ! lookup pubsub subscriptions describe "$2" --project="$1" --format='value(topic,ackDeadlineSeconds,expirationPolicy.ttl,deadLetterPolicy.deadLetterTopic,deadLetterPolicy.maxDeliveryAttempts)'; then
    change "create subscription $2" gcloud pubsub subscriptions create "$2" --project="$1" --topic="$3" \
      --ack-deadline="$4" --expiration-period=never "${dead[@]}"
  elif [ "${found%%$'\t'*}" != "$3" ]; then
    differs "subscription $2 is of ${found%%$'\t'*}, not $3" "a subscription's topic cannot be changed: remove it first"
  elif [ "$found" = "$3"$'\t'"$4"$'\t\t'"${5:-}"$'\t'"${6:-}" ]; then
    same "subscription $2"
  else
    [ ${#dead[@]} -gt 0 ] || dead=(--clear-dead-letter-policy)
    change "correct subscription $2" gcloud pubsub subscriptions update "$2" --project="$1" \
      --ack-deadline="$4" --expiration-period=never "${dead[@]}"
  fi
}

remove_subscription() { # PROJECT SUBSCRIPTION
  remove "subscription $2" pubsub subscriptions -- "$2" --project="$1"
}
