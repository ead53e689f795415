# usage: image.sh LAYOUT OS ARCHITECTURE USER WORKDIR LABELS ENV ENTRYPOINT PORTS LAYER…
# Writes an OCI layout whose bytes depend on its arguments alone.
set -euo pipefail
layout=$1 os=$2 architecture=$3 user=$4 workdir=$5 labels=$6 environment=$7 entrypoint=$8 ports=$9
shift 9
mkdir -p "$layout/blobs/sha256"
digest() { sha256sum "$1" | cut -d ' ' -f 1; }
# add FILE TYPE: stores a blob, prints its descriptor.
add() {
  local sum
  sum=$(digest "$1")
  cp "$1" "$layout/blobs/sha256/$sum"
  jq -ncS --arg type "$2" --arg sum "sha256:$sum" --argjson size "$(stat -L -c %s "$1")" '{mediaType: $type, digest: $sum, size: $size}'
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
layers=[] diffs=[]
for layer in "$@"; do
  layers=$(jq -c --argjson one "$(add "$layer" application/vnd.oci.image.layer.v1.tar+gzip)" '. + [$one]' <<<"$layers")
  diffs=$(jq -c --arg one "sha256:$(zcat "$layer" | sha256sum | cut -d ' ' -f 1)" '. + [$one]' <<<"$diffs")
done
jq -ncS --arg os "$os" --arg architecture "$architecture" --arg user "$user" --arg workdir "$workdir" --argjson diffs "$diffs" \
  --rawfile labels "$labels" --rawfile environment "$environment" --rawfile entrypoint "$entrypoint" --rawfile ports "$ports" '
  def lines: split("\n") | map(select(. != ""));
  {os: $os, architecture: $architecture, rootfs: {type: "layers", diff_ids: $diffs}, config: {
    User: $user, WorkingDir: $workdir, Env: ($environment | lines), Entrypoint: ($entrypoint | lines),
    Labels: ($labels | lines | map(split("=") | {key: .[0], value: (.[1:] | join("="))}) | from_entries),
    ExposedPorts: ($ports | split(",") | map({key: ., value: {}}) | from_entries)}}' >"$work/config"
config=$(add "$work/config" application/vnd.oci.image.config.v1+json)
jq -ncS --argjson config "$config" --argjson layers "$layers" '{schemaVersion: 2,
  mediaType: "application/vnd.oci.image.manifest.v1+json", config: $config, layers: $layers}' >"$work/manifest"
manifest=$(add "$work/manifest" application/vnd.oci.image.manifest.v1+json)
jq -ncS --argjson manifest "$manifest" '{schemaVersion: 2, manifests: [$manifest]}' >"$layout/index.json"
printf '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
