# syntax=docker/dockerfile:1

# Where images come from a registry of one's own, name them by --build-arg.
ARG BUILD_IMAGE=rust:1.95-slim-bookworm
ARG RUN_IMAGE=gcr.io/distroless/cc-debian12:nonroot

# The builder has what the first command of the README needs, and no more.
FROM ${BUILD_IMAGE} AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Cargo.toml Cargo.lock build.rs ./
COPY proto proto
COPY src src
# Named in Cargo.toml, so they must be there.
COPY benches benches
COPY tests/examples.rs tests/upgrade.rs tests/
# Cargo.lock fixes every dependency; the paths of this builder stay out of the binary.
ENV RUSTFLAGS="--remap-path-prefix=/src=. --remap-path-prefix=/usr/local/cargo=cargo"
RUN cargo build --locked --release --bin okebayar-gateway \
    && strip target/release/okebayar-gateway

# No shell, no package manager: the C library, certificates, and the binary.
FROM ${RUN_IMAGE}
COPY --from=build /src/target/release/okebayar-gateway /usr/local/bin/okebayar-gateway
USER 65532:65532
EXPOSE 50051 8080 9464
HEALTHCHECK --interval=10s --timeout=6s --start-period=5s \
    CMD ["/usr/local/bin/okebayar-gateway", "health"]
ENTRYPOINT ["/usr/local/bin/okebayar-gateway"]
CMD ["serve"]
