"""What calls cost on a GPU: counted on made-up text, measured on the card, and kept as a processor's rates are."""
