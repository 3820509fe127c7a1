# Node.js, the program as it stands and its production dependencies. Both images may be given by digest, or be your own:
#   BUILD_IMAGE    Node.js 24 with npm, a shell and find, on the same C library as RUNTIME_IMAGE
#   RUNTIME_IMAGE  glibc and libstdc++; no shell and no package manager is needed
ARG BUILD_IMAGE=docker.io/library/node:24-bookworm-slim
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /image/app
COPY package.json package-lock.json .npmrc ./
# Types, source maps and manuals are half of what is installed; licences stay.
RUN npm ci --omit=dev --ignore-scripts \
 && rm -rf node_modules/@types node_modules/.bin \
 && find node_modules -type f \( -name '*.ts' -o -name '*.mts' -o -name '*.cts' -o -name '*.map' \
      -o -name '*.md' ! -iname 'license*' \) -exec rm {} +
COPY LICENSE ./
COPY src ./src
RUN mkdir -p /image/usr/local/bin \
 && cp "$(node -p process.execPath)" /image/usr/local/bin/node \
 && chmod -R a+rX,go-w /image

FROM ${RUNTIME_IMAGE}
ARG VERSION=""
ARG REVISION=""
LABEL org.opencontainers.image.title="etcd-backup-operator" \
      org.opencontainers.image.description="Backs up any etcd, verified, and brings it back: operator and command line." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /image /
# As bin/etcd-backup, which needs a shell, sets them. HOME keeps a user that no passwd knows from being an error.
ENV MALLOC_ARENA_MAX=1 MALLOC_TRIM_THRESHOLD_=131072 HOME=/home/nonroot
USER 65532:65532
# Everything the operator loads is there, native code and the libraries below it included.
RUN ["/usr/local/bin/node", "--import", "/app/src/operator/run.ts", "--import", "/app/src/store/s3/s3-store.ts", "/app/src/main.ts", "--version"]
ENTRYPOINT ["/usr/local/bin/node", "--disable-warning=DEP0123", "--max-semi-space-size=2", "/app/src/main.ts"]
CMD ["--help"]
