"""Seal and open bytes: AWS Encryption SDK messages under data keys of our own key-service port."""
