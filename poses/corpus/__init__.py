"""SignVerse-2M as a corpus: which shards to fetch, reading them as a stream, and its splits."""
