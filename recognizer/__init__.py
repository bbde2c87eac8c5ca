"""The sign recognizer: configuration, network, processor, decoding, training and reading, one module each."""
