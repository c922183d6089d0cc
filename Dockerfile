# syntax=docker/dockerfile:1.7
# One static-enough binary on a small Debian, run by a user without rights.

FROM rust:1.95.0-slim-bookworm AS build
# librdkafka and its TLS are built from source: gcc, make and perl are all that this takes. Their versions are those of
# the Debian that is named above, with its security updates.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends g++ gcc make perl \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --profile dist --bin streamgauge \
 && cp target/dist/streamgauge /streamgauge

FROM debian:12.12-slim
# The authorities that sign the certificates of brokers elsewhere: SASL_SSL and SSL look for them by themselves.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /var/lib/streamgauge --create-home --shell /usr/sbin/nologin streamgauge
COPY --from=build /streamgauge /usr/local/bin/streamgauge
# By number, so that an orchestrator can tell that it is not root.
USER 10001
# The default data directory lies in the working directory. What a container is told: a file by --config, and
# STREAMGAUGE_LISTEN, STREAMGAUGE_DATA_DIR, STREAMGAUGE_PUBLIC_URL, STREAMGAUGE_LOG_FORMAT. It listens on its own
# loopback until a configuration with [auth] says otherwise (docker-compose.yml shows one).
WORKDIR /var/lib/streamgauge
VOLUME ["/var/lib/streamgauge"]
EXPOSE 8080
# The image has no HTTP client; the shell's own sockets are enough to ask whether the process works.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["bash", "-c", \
  "port=${STREAMGAUGE_LISTEN##*:}; exec 3<>/dev/tcp/127.0.0.1/${port:-8080} && printf 'GET /livez HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r -t 4 line <&3 && [[ $line == *' 200 '* ]]"]
ENTRYPOINT ["streamgauge"]
CMD ["serve"]
