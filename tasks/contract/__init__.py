"""All that the steps share: configuration, manifests, the store, and the formats between steps."""
