"""`python -m tests.docs.reference`: writes the generated pages anew."""

from tests.docs.reference.pages import FOLDER, pages

for name, text in pages().items():
    (FOLDER / name).write_text(text, "utf-8")
