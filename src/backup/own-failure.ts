export interface WithOwnFailure {
  chunks: AsyncGenerator<Uint8Array, void, undefined>;
  /** What `source` itself has thrown; undefined as long as it has not. */
  failure(): { error: unknown } | undefined;
}

/**
 * Yields the chunks of `source` and keeps its failure apart from those of its readers: a later stage of a pipeline that
 * fails throws at the yield, and such an error is not the source's.
 */
export function withOwnFailure(source: AsyncIterable<Uint8Array>): WithOwnFailure {
  let failure: { error: unknown } | undefined;
  async function* chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    let isWithReader = false;
    try {
      for await (const chunk of source) {
        isWithReader = true;
        yield chunk;
        isWithReader = false;
      }
    } catch (error) {
      if (!isWithReader) failure = { error };
      throw error;
    }
  }
  return { chunks: chunks(), failure: () => failure };
}
