"""The key service: wrap and unwrap a data key with associated data, sign a digest."""
