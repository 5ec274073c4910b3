//! Admission control: holds a resource at exactly the load it can carry
