"""What is generated from the code, one module a document; `inventory.generate` writes them."""
