"""The figures: one module each, drawn from files alone, in any language of `framebench.languages`."""
