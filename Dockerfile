# Node.js, the program's source files and its production dependencies. You may set both images, by tag or by digest:
#   BUILD_IMAGE    needs Node.js 24 with npm, a shell and find, and the same C library as RUNTIME_IMAGE
#   RUNTIME_IMAGE  needs glibc and libstdc++, but no shell and no package manager
ARG BUILD_IMAGE=docker.io/library/node:24-bookworm-slim
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /image/app
COPY package.json package-lock.json .npmrc ./
# Types, source maps and manuals take half of the installed size. The licenses stay.
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
      org.opencontainers.image.description="Verified backups of any etcd, and restores from them: operator and command line." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /image /
# bin/etcd-backup sets the same variables, but it needs a shell. HOME is set because Node.js
# cannot find the home directory of a user ID without an entry in /etc/passwd.
ENV MALLOC_ARENA_MAX=1 MALLOC_TRIM_THRESHOLD_=4194304 MALLOC_MMAP_THRESHOLD_=1048576 HOME=/home/nonroot
USER 65532:65532
# Test that the image holds every module and native library that the operator loads.
RUN ["/usr/local/bin/node", "--import", "/app/src/operator/run.ts", "--import", "/app/src/store/s3/s3-store.ts", "/app/src/main.ts", "--version"]
ENTRYPOINT ["/usr/local/bin/node", "--disable-warning=DEP0123", "--max-semi-space-size=2", "/app/src/main.ts"]
CMD ["--help"]
