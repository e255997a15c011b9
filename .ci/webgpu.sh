#!/usr/bin/env bash
# Makes ready what real WebGPU in software needs on a Debian machine: Chromium, which brings SwiftShader, the Vulkan
# loader, and Mesa's lavapipe 25, unpacked into .cache. Says in one line each what there is, or why there is none; what is
# missing makes tests be left out, or fail where SLUICE_REQUIRE_WEBGPU is set.
set -uo pipefail
cd "$(dirname "$0")/.."

cache=.cache/lavapipe
log=.cache/webgpu-install.log
mkdir -p .cache
: >"$log"

apt() { DEBIAN_FRONTEND=noninteractive apt-get -o APT::Sandbox::User=root "$@" >>"$log" 2>&1; }

# 1. SwiftShader and the loader, from Debian's own packages.
install() {
  local missing=()
  [ -e /usr/lib/chromium/vk_swiftshader_icd.json ] || missing+=(chromium)
  ldconfig -p | grep -q libvulkan.so.1 || missing+=(libvulkan1)
  [ "${#missing[@]}" -eq 0 ] && return 0
  command -v apt-get >/dev/null || { echo "no apt-get to install ${missing[*]}"; return 1; }
  [ "$(id -u)" -eq 0 ] || { echo "${missing[*]} missing, and not root"; return 1; }
  apt update && apt install -y --no-install-recommends "${missing[@]}" || { echo "apt-get failed, see $log"; return 1; }
}
if why=$(install); then echo 'SwiftShader: ready, with Chromium'; else echo "SwiftShader: not available: $why"; fi

# 2. lavapipe 25 from backports, without touching the system: the 22.3 of Debian 12 is too old for Dawn.
lavapipe() {
  [ -e "$cache/lvp_icd.json" ] && return 0
  command -v apt-get >/dev/null || { echo 'no apt-get'; return 1; }
  [ "$(id -u)" -eq 0 ] || { echo 'not root'; return 1; }
  . /etc/os-release
  # The mirror that this machine takes its own packages from.
  local mirror
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -1)
  [ -n "$mirror" ] || { echo 'apt names no mirror'; return 1; }
  local here="$PWD/$cache"
  mkdir -p "$here/lists/partial"
  echo "deb $mirror ${VERSION_CODENAME}-backports main" >"$here/backports.list"
  local own=(-o "Dir::Etc::sourcelist=$here/backports.list" -o 'Dir::Etc::sourceparts=-' -o "Dir::State::Lists=$here/lists")
  apt "${own[@]}" update || { echo "backports do not answer, see $log"; return 1; }
  (cd "$here" && DEBIAN_FRONTEND=noninteractive apt-get -o APT::Sandbox::User=root "${own[@]}" download mesa-vulkan-drivers) >>"$log" 2>&1 ||
    { echo "no mesa-vulkan-drivers in backports, see $log"; return 1; }
  dpkg -x "$here"/mesa-vulkan-drivers_*.deb "$here/root" || { echo 'the package does not unpack'; return 1; }
  local library
  library=$(find "$here/root" -name 'libvulkan_lvp.so' | head -1)
  local absent
  absent=$(ldd "$library" | awk '/not found/ {print $1}')
  if [ -n "$absent" ]; then
    # The libraries it links to, from the stable release.
    apt install -y --no-install-recommends libllvm15 libdrm2 libelf1 libexpat1 libx11-xcb1 libxcb-dri3-0 libxcb-present0 \
      libxcb-randr0 libxcb-shm0 libxcb-sync1 libxcb-xfixes0 libxshmfence1 libwayland-client0 libz3-4 libzstd1
    absent=$(ldd "$library" | awk '/not found/ {print $1}')
    [ -z "$absent" ] || { echo "it needs $absent"; return 1; }
  fi
  rm -f "$here"/*.deb
  rm -rf "$here/lists"
  printf '{"ICD": {"api_version": "1.4.305", "library_path": "%s"}, "file_format_version": "1.0.0"}\n' "$library" >"$cache/lvp_icd.json"
}
if why=$(lavapipe); then echo 'lavapipe: ready'; else echo "lavapipe: not available: $why"; fi
