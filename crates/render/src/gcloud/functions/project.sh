ensure_project_number() { # PROJECT NUMBER
  lookup projects describe "$1" --format='value(projectNumber)' || fail 3 "there is no project $1"
  if [ "$found" = "$2" ]; then
    same "project $1 has the number $2"
  else
    differs "project $1 has the number $found, and the contract says $2" "the contract names another project"
  fi
}

remove_project_number() { # PROJECT
  same "project $1 stays"
}
