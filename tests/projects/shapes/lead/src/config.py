MODELS = ["small", "large"]
