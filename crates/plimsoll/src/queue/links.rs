//! Doubly linked lists threaded through a vector, so that an entry can leave
//! from the middle in constant time and nothing is allocated.

/// "No entry".
pub(super) const NONE: u32 = u32::MAX;

/// An entry's neighbours in one list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    pub(super) previous: u32,
    pub(super) next: u32,
}

impl Links {
    pub(super) const UNLINKED: Self = Self { previous: NONE, next: NONE };
}

/// Which of an entry's links a list is threaded through.
pub(super) type LinksOf<E> = fn(&mut E) -> &mut Links;

/// A list's two ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    pub(super) head: u32,
    pub(super) tail: u32,
}

impl List {
    pub(super) const EMPTY: Self = Self { head: NONE, tail: NONE };

    pub(super) const fn is_empty(self) -> bool {
        self.head == NONE
    }

    pub(super) fn push_back<E>(&mut self, entries: &mut [E], entry: u32, links_of: LinksOf<E>) {
        let tail = self.tail;
        *links_of(&mut entries[entry as usize]) = Links { previous: tail, next: NONE };
        if tail == NONE {
            self.head = entry;
        } else {
            links_of(&mut entries[tail as usize]).next = entry;
        }
        self.tail = entry;
    }

    pub(super) fn unlink<E>(&mut self, entries: &mut [E], entry: u32, links_of: LinksOf<E>) {
        let links = links_of(&mut entries[entry as usize]);
        let Links { previous, next } = *links;
        *links = Links::UNLINKED;
        if previous == NONE {
            self.head = next;
        } else {
            links_of(&mut entries[previous as usize]).next = next;
        }
        if next == NONE {
            self.tail = previous;
        } else {
            links_of(&mut entries[next as usize]).previous = previous;
        }
    }
}
