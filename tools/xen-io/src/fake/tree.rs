// SPDX-License-Identifier: MIT
//! The nodes of the fake xenstored, and transactions on them. As in the real one,
//! a transaction fails if another client changed a node that it read or wrote,
//! and a node changes with its list of children too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rustix::io::Errno;

use crate::types::DomId;
use crate::xenstore::{Access, Permission};

#[derive(Clone)]
pub(super) struct Node {
    pub(super) value: Vec<u8>,
    pub(super) permissions: Vec<Permission>,
    children: BTreeSet<String>,
    /// Generation of its last change.
    generation: u64,
}

/// All nodes.
pub(super) struct Tree {
    nodes: BTreeMap<String, Arc<Node>>,
    generation: u64,
}

/// Changes of an open transaction.
#[derive(Default)]
pub(super) struct Pending {
    /// Changed nodes; `None` for removed ones.
    nodes: BTreeMap<String, Option<Arc<Node>>>,
    /// Nodes that were read, with their generation then; `None` for missing
    /// nodes.
    seen: BTreeMap<String, Option<u64>>,
}

/// The nodes for a request, within a transaction or outside.
pub(super) struct View<'a> {
    tree: &'a mut Tree,
    pending: Option<&'a mut Pending>,
}

impl Default for Tree {
    fn default() -> Self {
        let root = Node {
            value: Vec::new(),
            permissions: vec![Permission::DOM0_ONLY],
            children: BTreeSet::new(),
            generation: 0,
        };
        Self {
            nodes: BTreeMap::from([("/".to_owned(), Arc::new(root))]),
            generation: 0,
        }
    }
}

impl Tree {
    pub(super) fn view<'a>(&'a mut self, pending: Option<&'a mut Pending>) -> View<'a> {
        View {
            tree: self,
            pending,
        }
    }

    /// The number of changes.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn contains(&self, path: &str) -> bool {
        self.nodes.contains_key(path)
    }

    /// Applies a transaction's changes, unless another client changed the same
    /// nodes.
    pub(super) fn commit(&mut self, pending: Pending) -> Result<(), Errno> {
        let same = |(path, seen): (&String, &Option<u64>)| {
            self.nodes.get(path).map(|node| node.generation) == *seen
        };
        if !pending.seen.iter().all(same) {
            return Err(Errno::AGAIN);
        }
        for (path, node) in pending.nodes {
            self.set(path, node);
        }
        Ok(())
    }

    fn set(&mut self, path: String, node: Option<Arc<Node>>) {
        self.generation += 1;
        match node {
            Some(mut node) => {
                Arc::make_mut(&mut node).generation = self.generation;
                self.nodes.insert(path, node);
            }
            None => drop(self.nodes.remove(&path)),
        }
    }
}

impl View<'_> {
    pub(super) fn readable(&mut self, domid: DomId, path: &str) -> Result<Arc<Node>, Errno> {
        self.node(domid, path, |access| {
            matches!(access, Access::Read | Access::Both)
        })
    }

    pub(super) fn writable(&mut self, domid: DomId, path: &str) -> Result<Arc<Node>, Errno> {
        self.node(domid, path, |access| {
            matches!(access, Access::Write | Access::Both)
        })
    }

    /// Changes a node if the domain may write to it.
    pub(super) fn change(
        &mut self,
        domid: DomId,
        path: &str,
        change: impl FnOnce(&mut Node),
    ) -> Result<(), Errno> {
        let mut node = self.writable(domid, path)?;
        change(Arc::make_mut(&mut node));
        self.set(path, Some(node));
        Ok(())
    }

    /// Creates a node and its parents. A new node has its parent's permissions,
    /// but the creating domain as owner.
    pub(super) fn create(&mut self, domid: DomId, path: &str) -> Result<(), Errno> {
        if self.get(path).is_some() {
            return Ok(());
        }
        let (parent, name) = split(path).ok_or(Errno::INVAL)?;
        self.create(domid, parent)?;
        let mut permissions = Vec::new();
        self.change(domid, parent, |node| {
            permissions.clone_from(&node.permissions);
            node.children.insert(name.to_owned());
        })?;
        if let Some(owner) = permissions.first_mut().filter(|_| domid != DomId::DOM0) {
            owner.domid = domid;
        }
        let node = Node {
            value: Vec::new(),
            permissions,
            children: BTreeSet::new(),
            generation: 0,
        };
        self.set(path, Some(Arc::new(node)));
        Ok(())
    }

    /// Removes a node and what is below it.
    pub(super) fn remove(&mut self, domid: DomId, path: &str) -> Result<(), Errno> {
        self.writable(domid, path)?;
        let (parent, name) = split(path).ok_or(Errno::INVAL)?;
        if let Some(mut node) = self.get(parent) {
            Arc::make_mut(&mut node).children.remove(name);
            self.set(parent, Some(node));
        }
        self.remove_all(path);
        Ok(())
    }

    /// Names of a node's children, each with its NUL.
    pub(super) fn children(&mut self, domid: DomId, path: &str) -> Result<Vec<u8>, Errno> {
        let node = self.readable(domid, path)?;
        let names = node.children.iter();
        Ok(names.flat_map(|name| name.bytes().chain([0])).collect())
    }

    fn remove_all(&mut self, path: &str) {
        if let Some(node) = self.get(path) {
            for name in &node.children {
                self.remove_all(&format!("{path}/{name}"));
            }
        }
        self.set(path, None);
    }

    fn node(
        &mut self,
        domid: DomId,
        path: &str,
        wanted: fn(Access) -> bool,
    ) -> Result<Arc<Node>, Errno> {
        let node = self.get(path).ok_or(Errno::NOENT)?;
        if allowed(&node, domid, wanted) {
            Ok(node)
        } else {
            Err(Errno::ACCESS)
        }
    }

    fn get(&mut self, path: &str) -> Option<Arc<Node>> {
        let live = self.tree.nodes.get(path).cloned();
        let Some(pending) = &mut self.pending else {
            return live;
        };
        if let Some(changed) = pending.nodes.get(path) {
            return changed.clone();
        }
        let seen = live.as_ref().map(|node| node.generation);
        pending.seen.entry(path.to_owned()).or_insert(seen);
        live
    }

    fn set(&mut self, path: &str, node: Option<Arc<Node>>) {
        match &mut self.pending {
            Some(pending) => drop(pending.nodes.insert(path.to_owned(), node)),
            None => self.tree.set(path.to_owned(), node),
        }
    }
}

fn split(path: &str) -> Option<(&str, &str)> {
    match path.rsplit_once('/')? {
        (_, "") => None,
        ("", name) => Some(("/", name)),
        split => Some(split),
    }
}

fn allowed(node: &Node, domid: DomId, wanted: fn(Access) -> bool) -> bool {
    let owner = node.permissions.first();
    if domid == DomId::DOM0 || owner.is_some_and(|owner| owner.domid == domid) {
        return true;
    }
    let listed = node
        .permissions
        .iter()
        .skip(1)
        .find(|entry| entry.domid == domid);
    listed.or(owner).is_some_and(|entry| wanted(entry.access))
}
