"""The `langgraph.json`: its model, and how it is read. Imports neither LangGraph nor author code.

What becomes of each key is in `fates`; what the file's graphs, paths and variables do is in `graphs`,
`imports` and `environment`.
"""
