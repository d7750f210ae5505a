"""The object store on S3: any provider with conditional writes, versions and Object Lock. What differs between them is
told where it is handled; what was measured on which server: docs/stores.md."""
