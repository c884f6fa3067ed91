# emshap on the CPU. Build: docker build -t emshap .   Run: docker run --rm -v "$PWD:/data" emshap train power ...
ARG BASE_IMAGE=debian:12-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /src
COPY scripts/install-deps.sh scripts/
RUN scripts/install-deps.sh --no-python && rm -rf /var/lib/apt/lists/*
COPY . .
RUN cmake -S . -B /build -G Ninja -DCMAKE_BUILD_TYPE=Release -DEMSHAP_WITH_CUDA=OFF \
      -DEMSHAP_BUILD_TESTS=OFF -DEMSHAP_BUILD_BENCHMARKS=OFF \
 && cmake --build /build \
 && cmake --install /build --prefix /opt/emshap --component runtime --strip

FROM ${BASE_IMAGE}
COPY scripts/install-deps.sh /tmp/
RUN /tmp/install-deps.sh --runtime && rm -rf /var/lib/apt/lists/* /tmp/install-deps.sh \
 && useradd --create-home --uid 1000 emshap && mkdir -p /data && chown emshap /data
COPY --from=build /opt/emshap /opt/emshap
COPY scripts/docker-entrypoint.sh /usr/local/bin/emshap
COPY scripts/demo.sh /opt/emshap/bin/emshap_demo
ENV PATH=/opt/emshap/bin:$PATH
USER emshap
WORKDIR /data
ENTRYPOINT ["/usr/local/bin/emshap"]
CMD ["help"]
