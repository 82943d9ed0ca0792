#!/bin/sh
# Unpacks RabbitMQ and its Erlang from Debian's packages into a folder; nothing is installed. Usage: fetch.sh FOLDER
set -eu
mkdir -p "$1"
folder=$(cd "$1" && pwd)
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
wanted() { apt-get install --simulate --no-install-recommends rabbitmq-server | awk '/^Inst (erlang|rabbitmq)/ {print $2}'; }
[ -n "$(wanted)" ] || apt-get update -qq
# shellcheck disable=SC2046 # a word for each package
apt-get download -qq $(wanted) 2>/dev/null
for package in *.deb; do dpkg -x "$package" "$folder"; done
# Erlang's scripts know one place only; `make` moves the folder there once it is whole
sed -i "s#=/usr/lib/erlang#=${folder%.part}/usr/lib/erlang#" "$folder"/usr/lib/erlang/bin/erl "$folder"/usr/lib/erlang/erts*/bin/erl
