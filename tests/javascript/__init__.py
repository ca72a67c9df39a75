"""LangGraph's JavaScript clients under Node, against a real server: `*.test.js` with Node's own test runner."""
