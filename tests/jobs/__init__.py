"""What tests run in processes of their own: importable there, unlike a test module."""
