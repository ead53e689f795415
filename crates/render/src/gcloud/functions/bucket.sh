ensure_bucket() { # PROJECT LOCATION NAME
  if ! lookup storage buckets describe "gs://$3" --format='value(uniform_bucket_level_access,public_access_prevention)'; then
    change "create bucket $3" gcloud storage buckets create "gs://$3" --project="$1" --location="$2" \
      --uniform-bucket-level-access --public-access-prevention
  elif [ "$found" = $'True\tenforced' ]; then
    same "bucket $3"
  else
    change "close bucket $3 to the public" gcloud storage buckets update "gs://$3" \
      --uniform-bucket-level-access --public-access-prevention
  fi
}

remove_bucket() { # PROJECT LOCATION NAME
  if lookup storage buckets describe "gs://$3" --format='value(name)'; then
    change "remove bucket $3 with its objects" gcloud storage rm --recursive "gs://$3"
  else
    same "no bucket $3"
  fi
}
