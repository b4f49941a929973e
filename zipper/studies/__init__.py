"""The paper's studies, repeated in the sizes of this project: `./run reproduce`, and the page docs/paper.md."""
