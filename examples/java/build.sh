#!/bin/sh
# Generates the Java code of the contract, and compiles the example, with Debian's packages.
set -eu
cd "$(dirname "$0")"
../../.ci/debian default-jdk-headless libgrpc-java libprotobuf-java libnetty-java libgoogle-gson-java libperfmark-java \
    libgeronimo-annotation-1.3-spec-java protobuf-compiler protobuf-compiler-grpc-java-plugin

contract=okebayar/gateway/v1
mkdir -p build/proto/$contract build/generated build/classes
# Debian 12's protoc does not know the option `debug_redact`.
for file in ../../proto/$contract/*.proto; do
    sed 's/ \[debug_redact = true\]//' "$file" >build/proto/$contract/"$(basename "$file")"
done
protoc -I build/proto -I . --plugin=protoc-gen-grpc-java=/usr/bin/grpc_java_plugin \
    --java_out=build/generated --grpc-java_out=build/generated build/proto/$contract/*.proto error_info.proto

jars=$(printf '/usr/share/java/%s.jar:' grpc-api grpc-context grpc-core grpc-netty grpc-protobuf grpc-protobuf-lite \
    grpc-stub protobuf guava gson perfmark-api geronimo-annotation-1.3-spec netty-buffer netty-codec \
    netty-codec-http netty-codec-http2 netty-common netty-handler netty-handler-proxy netty-resolver netty-transport)
find build/generated -name '*.java' >build/sources
javac -nowarn -Xlint:none -d build/classes -cp "$jars" @build/sources Shop.java
echo "-cp build/classes:$jars" >build/classpath
