//! Tower layers that admit or refuse HTTP requests, and the refusals themselves
