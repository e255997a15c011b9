#!/usr/bin/env bash
# Runs the GPU bench from the folder that `npm run bench:gpu:pack` made, on a Linux x86-64 machine that has a GPU's driver
# and Python with PyTorch, and needs neither Node nor a network nor root:
#
#   ./run-on-gpu.sh RESULTS [options of bench:gpu]
#
# RESULTS is a folder. Without options: everything, in turns with PyTorch, ended after 9 minutes. PYTHON names another
# python3; where it has no PyTorch, only Sluice is measured. VK_DRIVER_FILES is kept where it is set.
set -euo pipefail
pack=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }
mkdir -p "$1"
results=$(cd "$1" && pwd)
shift
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

decompress() {
  if command -v xz >/dev/null; then xz -dc "$1"
  else "$python" -c 'import lzma, shutil, sys; shutil.copyfileobj(lzma.open(sys.argv[1]), sys.stdout.buffer)' "$1"
  fi
}

mkdir -p "$work/bin" "$work/libraries" "$work/found"
decompress "$pack/app.tar.xz" | tar -x -C "$work"
decompress "$pack"/node-*.xz >"$work/bin/node"
mkdir -p "$work/app/node_modules/webgpu/dist/linux-x64"
decompress "$pack"/dawn-*.xz >"$work/app/node_modules/webgpu/dist/linux-x64/dawn.node"
chmod +x "$work/bin/node"

# The Vulkan loader and what drivers link to: only those that this machine lacks.
decompress "$pack/libraries.tar.xz" | tar -x -C "$work/libraries"
known=$(ldconfig -p 2>/dev/null || /sbin/ldconfig -p 2>/dev/null || true)
for library in "$work"/libraries/*; do
  grep -q "$(basename "$library") .*x86-64" <<<"$known" || cp "$library" "$work/found/"
done
echo "libraries added: $(ls "$work/found" | tr '\n' ' ')"
export LD_LIBRARY_PATH="$work/found${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-$work}

# Writes a driver description for a library of the driver, wherever it lies, and prints the description's path.
describe() {
  local library
  library=$(awk -v name="$1" '$1 == name { print $NF; exit }' <<<"$known")
  [ -n "$library" ] || library=$(find /usr /opt -name "$1" -print -quit 2>/dev/null)
  [ -n "$library" ] || return 0
  printf '{"file_format_version": "1.0.0", "ICD": {"library_path": "%s", "api_version": "1.3.0"}}\n' "$library" >"$work/$1.json"
  echo "$work/$1.json"
}

# An adapter must answer, and a hardware one, unless the driver was named by hand.
answers() {
  local said
  said=$(VK_DRIVER_FILES="$1" "$work/bin/node" "$work/app/dist-bench/bench/gpu/task.js" '{"kind": "machine", "round": 1}' 2>&1) || {
    echo "no adapter with ${1:-the standard drivers}: $(tail -n 3 <<<"$said" | tr '\n' ' ')"
    return 1
  }
  if [ -z "${VK_DRIVER_FILES:-}" ] && grep -q '"isSoftware":true' <<<"$said"; then
    echo "only a software adapter with ${1:-the standard drivers}"
    return 1
  fi
}

if [ -n "${VK_DRIVER_FILES:-}" ]; then
  answers "$VK_DRIVER_FILES"
else
  driver=
  installed=$(find /usr /etc /opt -path '*/vulkan/icd.d/*nvidia*.json' 2>/dev/null || true)
  for candidate in $installed "$(describe libGLX_nvidia.so.0)" "$(describe libEGL_nvidia.so.0)"; do
    [ -n "$candidate" ] || continue
    # The driver's own libraries lie beside the one that is named.
    library=$(sed -n 's/.*"library_path" *: *"\(\/[^"]*\)".*/\1/p' "$candidate")
    [ -z "$library" ] || export LD_LIBRARY_PATH="$LD_LIBRARY_PATH:$(dirname "$library")"
    if answers "$candidate"; then driver=$candidate; break; fi
  done
  if [ -z "$driver" ]; then
    echo 'no driver of NVIDIA answers; trying what the Vulkan loader finds by itself'
    answers '' || exit 1
  else
    export VK_DRIVER_FILES=$driver
  fi
fi
echo "driver: ${VK_DRIVER_FILES:-standard}"

torch=()
if "$python" -c 'import torch' 2>/dev/null; then torch=(--torch "$(command -v "$python")")
else echo "$python has no PyTorch: only Sluice is measured"
fi
cd "$work/app"
# Options given by hand come last, and win. The libraries above are for Sluice; PyTorch does not need them.
"$work/bin/node" dist-bench/bench/gpu.js "${torch[@]}" --minutes 9 --out "$results" "$@" 2>&1 | tee "$results/log.txt"
