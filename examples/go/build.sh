#!/bin/sh
# Generates the Go code of the contract, and compiles the example, with Debian's packages.
set -eu
cd "$(dirname "$0")"
../../.ci/debian golang-go golang-google-grpc-dev golang-google-genproto-dev golang-google-protobuf-dev \
    golang-github-golang-protobuf-1-5-dev protobuf-compiler protoc-gen-go-1-5 protoc-gen-go-grpc

contract=okebayar/gateway/v1
mkdir -p build/proto/$contract build/gopath/src
cp ../../proto/$contract/service_config.json build/
# Debian 12's protoc does not know the option `debug_redact`.
for file in ../../proto/$contract/*.proto; do
    sed 's/ \[debug_redact = true\]//' "$file" >build/proto/$contract/"$(basename "$file")"
done
protoc -I build/proto --go_out=build/gopath/src --go-grpc_out=build/gopath/src build/proto/$contract/*.proto
GO111MODULE=off GOFLAGS= GOCACHE="$PWD/build/cache" GOPATH="$PWD/build/gopath:/usr/share/gocode" go build -o build/shop shop.go
