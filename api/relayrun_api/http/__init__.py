"""HTTP as every route has it: bodies, answers, problems, limits, CORS, lists, WebSockets."""
