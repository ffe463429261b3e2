"""HTTP server of classifiers: API, batching, reload, workers."""
