"""Self-blended pairs: `params` draws everything random, `self_blend` applies it. Import from the modules."""
