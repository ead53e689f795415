ensure_perimeter() { # POLICY NAME NUMBER INGRESS INGRESS-AS-READ SERVICE…
  local policy=$1 name=$2 number=$3 want=$5 rules services is
  rules=$(mktemp)
  printf '%s\n' "$4" >"$rules"
  shift 5
  services=$(joined , "$@")
  local -a where=("$name" --policy="$policy")
  if ! lookup access-context-manager perimeters describe "${where[@]}" --format='value(status.resources,status.restrictedServices,status.vpcAccessibleServices.enableRestriction,status.vpcAccessibleServices.allowedServices)'; then
    change "create perimeter $name" gcloud access-context-manager perimeters create "${where[@]}" --title="$name" \
      --resources="projects/$number" --restricted-services="$services" --ingress-policies="$rules" \
      --enable-vpc-accessible-services --vpc-allowed-services=RESTRICTED-SERVICES
  else
    is=$found
    lookup access-context-manager perimeters describe "${where[@]}" --flatten='status.ingressPolicies[]' --format='value(status.ingressPolicies.ingressFrom.identityType,status.ingressPolicies.ingressFrom.identities,status.ingressPolicies.ingressFrom.sources,status.ingressPolicies.ingressTo.operations,status.ingressPolicies.ingressTo.resources)' || fail 3 "perimeter $name vanished"
    local open=$'\tTrue\tRESTRICTED-SERVICES'
    if [ "$is" = "projects/$number"$'\t'"${services//,/;}$open" ] && [ "$found" = "$want" ]; then
      same "perimeter $name"
    else
      change "correct perimeter $name" gcloud access-context-manager perimeters update "${where[@]}" \
        --set-resources="projects/$number" --set-restricted-services="$services" --set-ingress-policies="$rules"
    fi
    if [ "${is%"$open"}" = "$is" ]; then
      # gcloud cannot set this list; for a moment no service is reached.
      change "close perimeter $name to all services" gcloud access-context-manager perimeters update "${where[@]}" \
        --enable-vpc-accessible-services --clear-vpc-allowed-services
      change "open perimeter $name to the restricted services" gcloud access-context-manager perimeters update "${where[@]}" \
        --enable-vpc-accessible-services --add-vpc-allowed-services=RESTRICTED-SERVICES
    fi
  fi
  rm -f "$rules"
}

remove_perimeter() { # POLICY NAME
  if lookup access-context-manager perimeters describe "$2" --policy="$1" --format='value(name)'; then
    change "remove perimeter $2" gcloud access-context-manager perimeters delete "$2" --policy="$1" --quiet
  else
    same "no perimeter $2"
  fi
}
